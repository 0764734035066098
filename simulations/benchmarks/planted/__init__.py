"""Four planted bad models and an honest one: does the audit fail each of the four in the right section?"""
