"""Storage on disk: files and folders that are whole or not there, whatever ends their writer."""
