"""What makes a search stoppable at any time: checkpoints, a history in files, safe points, answers given again."""
