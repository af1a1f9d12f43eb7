"""What makes a search stoppable at any time: checkpoints, history files, safe points, answers given again."""
