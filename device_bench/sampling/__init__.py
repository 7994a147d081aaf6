"""Take samples: prepare models, run them in turns, and log the machine and its sensors meanwhile."""
