"""What makes a search stoppable at any time: its history in files, safe points, and answers given again."""
