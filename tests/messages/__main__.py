"""Write the messages of the command anew."""

from tests.messages.collect import FILE, collect

if __name__ == "__main__":
    FILE.write_text(collect(), encoding="utf-8")
    print(FILE)
