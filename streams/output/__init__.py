"""What readers in a terminal see: lines, the board, the weekly report."""
