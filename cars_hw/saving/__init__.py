"""What makes a search stoppable at any time: checkpoints, history in files, safe points, answers given again."""
