"""Words so common that they tell nothing, by language. A language without a list keeps all words: BM25 weighs them."""

from __future__ import annotations

STOP_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "english": "a an and are as at be but by for from has have he her his if in into is it its no not of on or she "
        "such that the their them then there these they this to was we were what when where which who will with you",
        "german": "aber als am an auch auf aus bei bin bis bist da das dass dem den der des die doch du durch ein eine "
        "einem einen einer eines er es für hat hatte ich ihr im in ist ja mit nach nicht noch nur oder sich sie sind "
        "so über um und uns unter vom von vor war was wenn wer werden wie wir wird zu zum zur",
        "french": "à au aux avec ce ces cette comme dans de des du elle en est et eux il ils je la le les leur lui ma "
        "mais me même mes moi mon ne nos notre nous on ou où par pas pour qu que qui sa se ses son sont sur ta te tes "
        "toi ton tu un une vos votre vous",
        "spanish": "a al algo como con de del desde donde e el ella ellos en entre era es esta este esto ha había la "
        "las le les lo los más me mi muy ni no nos o para pero por porque que se si sin sobre son su sus también te "
        "tiene un una uno y ya yo",
        "italian": "a ad agli ai al alla alle allo anche che chi ci come con da dai dal dalla de degli dei del della "
        "delle di e è ed era gli ha i il in io la le lei lo loro lui ma mi ne nei nel nella non o per più quella "
        "quello questa questo se si sono su sua sul sulla suo ti tra tu un una uno",
        "portuguese": "a ao aos as à às com como da das de dela dele do dos e é ela ele eles em entre era essa esse "
        "esta este eu foi há isso já lhe mais mas me meu minha muito na nas não nem no nos o os ou para pela pelo por "
        "que quem se sem ser seu sua são também te tem um uma você",
        "dutch": "aan al als bij dan dat de der deze die dit door een en er haar had heb hebben heeft het hij hoe hun "
        "ik in is je kan me met mijn naar niet nog nu of om omdat onder ons ook op over te tot uit van voor was wat we "
        "werd wie wij worden ze zich zij zijn zo zou",
        "swedish": "alla att av blev bli då de dem den denna det detta där efter ej eller en er ett från för ha hade "
        "han har hon hur i icke in inte jag kan man med men mig min mot ni nu när och om oss på sedan sig sin sina som "
        "så till under upp ut var vad vi vid är än över",
        "danish": "af alle at blev bliver da de dem den denne der deres det dette dig din dog du efter eller en end er "
        "et for fra ham han hans har havde hende her hos hun hvad hvis hvor i ikke ind jeg kan man med meget men mig "
        "min nu når og også om op os over på sig skal som så til ud under var vi vil være",
        "norwegian": "alle at av ble da de deg den der det dette din du eller en enn er et etter for fra ha hadde han "
        "har her hun hva hvis hvor i ikke ja jeg kan kom man med meg men min mot nå når og også om opp oss over på "
        "seg sin skal som så til ut var ved vi vil være",
        "russian": "а без бы был была были было быть в вам вас во вот вы да для до его ее если есть же за и из или им "
        "их к как ко когда которые который мне мы на над не нет ни но о об он она они от по под при с со так также "
        "там то только ты у уже что чтобы эта эти это этот я",
        "chinese": "的 了 和 是 在 就 都 也 与 及 着 或 吗 呢 吧 啊 嘛 之 而 且 把 被 我们 你们 他们",
    }.items()
}
