"""What is proposed as a fix, as data: does it heal, and can it be pasted?"""
