"""Tables in files, read and written back byte for byte, and folders of pictures."""
