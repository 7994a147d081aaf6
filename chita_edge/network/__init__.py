"""What any user's network is to us: its batches, its layers as they are called, and what it is to be good at."""
