"""Selection and variation on numpy and pymoo; knows neither torch nor profilers."""
