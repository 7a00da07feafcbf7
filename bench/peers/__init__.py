"""Other ways to do the mechanics, each as its users write it."""
