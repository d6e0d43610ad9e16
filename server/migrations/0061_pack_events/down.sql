-- Nothing to undo that SQL can: rows that hold several events cannot be told apart again.
DO 0
