"""What the demo asks: of the standard library in English, of the guide in English and Chinese."""

QUESTIONS = (
    "How do I compress data with gzip?",
    "Run a program and capture its output",
    "Make a temporary file that is deleted when it is closed",
    "How can several threads wait for each other?",
    "Is an acknowledged write still there after a power cut?",
    "断电之后，确认过的写入会丢吗？",
    "怎样修改或删除已经写入的点？",
    "图查找会漏掉结果吗？",
)
