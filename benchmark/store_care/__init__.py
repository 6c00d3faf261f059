"""What a store holds, what may go, whether it is sound, and how a run moves to another one."""
