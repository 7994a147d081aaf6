"""Judge samples: was the machine fit, did a model become slower, how sure is that."""
