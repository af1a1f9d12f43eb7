"""What a search leaves to take home: members of its front, files, cards, the page."""
