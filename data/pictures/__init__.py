"""Image files and pictures for people: reading files, keeping what is decoded, drawing."""
