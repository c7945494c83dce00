"""What the files of a submitted run say about each other, and what its own weights say about them."""
