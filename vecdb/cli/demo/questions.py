"""What the demo asks: of the standard library in English, of the guide in English and Chinese."""

QUESTIONS = (
    "How do I compress data with gzip?",
    "Run a program and capture its output",
    "How can several threads wait for each other?",
    "Merge sorted inputs by a key",
    "Is an acknowledged write still there after a power cut?",
    "断电之后，确认过的写入会丢吗？",
    "怎样删除一个点？",
    "余弦相似度的分数是什么意思？",
)
