"""Files of this machine: whole or not there, safe names, what a person may see of them."""
