"""The way out: requests to tools and models, over connections of our own, with the gateway's credentials, and how much of an answer is read."""
