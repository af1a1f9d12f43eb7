"""Parts of the page: markup, tables and still pictures, and the style and script that the page carries."""
