"""What owners read, in one place: the same sentences in chat, commands, forms and on the page.

Plain words, no library's error, no promise that the code does not keep. Link states have their sentences in
`ponton_bridge.model.states.TABLE`. Called by the account service and the doors.

A sentence with values in it is a `Filled`, so that a door can say it in another language (`languages`).
"""

import re
from typing import Final, Self

from ponton_bridge.model.states import Next

_ASKS_TO_WRITE: Final = re.compile(r" Write '[^']*'[^.]*\.")


class Filled(str):
    """A sentence with its values put in; it remembers what it was made of."""

    __slots__ = ("template", "values")
    template: str
    values: dict[str, str]

    def __new__(cls, template: str, **values: str) -> Self:
        """Put the values in."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made


def off_chat(sentence: str) -> str:
    """Leave out what only somebody in a chat can do: a page and a menu have buttons for it.

    >>> off_chat("The bridge is parked. Write 'code' to link again.")
    'The bridge is parked.'
    """
    if isinstance(sentence, Filled):
        return Filled(off_chat(sentence.template), **{name: off_chat(text) for name, text in sentence.values.items()})
    return _ASKS_TO_WRITE.sub("", sentence)


ASK_HELP: Final = "Write 'help' to see what I understand."

WELCOME: Final = (
    "This is the WhatsApp gateway of {domain_of_host}. It links your WhatsApp account with your XMPP account: "
    "you then write with your WhatsApp contacts from the client that you use now. "
    "Write 'register' to begin, or 'help' to see everything."
)

HELP: Final = (
    "I understand:\n"
    "register - link your WhatsApp account (a code to scan comes as a picture)\n"
    "register +44 7700 900123 - the same with an 8-letter code to type on the phone, for the phone with that number\n"
    "status - how your link is\n"
    "code - a new code to scan\n"
    "pair +44 7700 900123 - an 8-letter code to type on the phone with that number\n"
    "pause - stop the bridge and keep the link\n"
    "resume - start it again\n"
    "unlink - end the link with WhatsApp, keep the account here\n"
    "passkey - how to answer when WhatsApp asks for your passkey\n"
    "delete - end the link and remove everything that is stored here\n"
    "preferences - what your contacts see of you, and how to change it\n"
    "export - what is stored about you here\n"
    "help - this text\n"
    "A contact's address is their number with a plus sign: +447700900123@{domain}"
)

HELP_PAGE: Final = "The same with buttons, and the code live: {url}"

TERMS: Final = (
    "WhatsApp does not offer this kind of link to third parties officially; it may end the link or suspend a number. "
    "Your host's server sees the messages that pass, as it does for every XMPP conversation without encryption."
)

REGISTERED: Final = "Welcome! Your account is being set up; a code to scan with your phone comes in a moment."
REGISTERED_PHONE: Final = (
    "Welcome! Your account is being set up; a code to scan and 8 letters to type come in a moment: use either."
)
ALREADY: Final = "You are registered already. {state}"
NOT_REGISTERED: Final = "You are not registered here. Write 'register' to begin."
NOT_ALLOWED: Final = "This gateway serves the accounts of {hosts} only. Ask the host of your server for a gateway."
FULL: Final = "This gateway has no room for more accounts at the moment. Your host can change that."
CLOSED: Final = "At this gateway only the host makes accounts. Ask your host for one."
BUSY: Final = "That was a lot of requests in a short time. Please wait a minute, then try again."
BEING_DELETED: Final = "Your account is being deleted. You can register again when that is done."

NEW_CODE: Final = "A new code comes in a moment."
GOES_ON: Final = "The bridge starts again with the link that it has; no code is needed."
LINKED_ALREADY: Final = "You are linked already. To link another phone write 'unlink' first."
NO_ANSWER: Final = "Your bridge did not answer in time. It may be starting; the request is done as soon as it can be."
PHONE_CODE: Final = (
    "Your code is {code}. On the phone open WhatsApp > Settings > Linked devices > Link a device > "
    "Link with phone number instead, and type it."
)
PASSKEY_ASKED: Final = "WhatsApp asks for your passkey before it links this number. Minutes left: {minutes}."
PASSKEY_PAGE: Final = "The easy way: on a computer open {url}/account/passkey and do what it says."
PASSKEY_HOW: Final = (
    "Without the page:\n"
    "1. On a computer open https://web.whatsapp.com in the browser that has your passkey or asks your phone for it.\n"
    "2. Press F12 and choose Console. The browser may want you to type 'allow pasting' first.\n"
    "3. Paste the lines below, press Enter, and answer what the browser asks.\n"
    "4. The window then shows one long line that begins with 'passkey': copy all of it and send it here.\n"
    "```\n{snippet}\n```"
)
PASSKEY_PHONE_ONLY: Final = (
    "You have only a phone? Then it cannot be done there: browsers on phones cannot run these lines. "
    "Borrow a computer for these minutes; its browser asks your phone for the passkey. "
    "Write 'passkey no' to end this attempt."
)
NO_PASSKEY: Final = "WhatsApp does not ask for a passkey now. Write 'status' to see how your link is."
ANSWER_FIRST: Final = "WhatsApp waits for your answer first. Write 'passkey' to see how to give it."
PASSKEY_TAKEN: Final = "WhatsApp has taken the answer. It goes on in a moment; look at your phone, too."
PASSKEY_STOPPED: Final = "This attempt has ended. Write 'code' to try again."
COMPARE: Final = (
    "WhatsApp shows a code on your phone. Is it {code}? "
    "Write 'passkey yes' if it is the same, 'passkey no' if it is not. Minutes left: {minutes}."
)
CODES_SAME: Final = "Good. WhatsApp links this number in a moment."
PAUSED: Final = (
    "The bridge is paused; the link is kept. What your contacts write waits at WhatsApp, "
    "which ends a link after about 14 days without contact. Write 'resume' to go on."
)
RUNS_ALREADY: Final = "The bridge runs already."
ASK_NUMBER: Final = "Give the number of the phone in international form, for example: pair +44 7700 900123"
NOT_LINKED: Final = "You are not linked with WhatsApp, so there is nothing to unlink."
UNLINK_CONFIRM: Final = (
    "This ends the link with WhatsApp; your account here stays, and you can link again at any time. "
    "Write 'unlink yes' to do it."
)
UNLINKED: Final = "The link with WhatsApp is ended."
DELETED_LIST: Final = (
    "the link with WhatsApp, the stored keys and messages in transit, your contacts here, your preferences, "
    "the figures of your bridge and what happened to it, "
    "the WhatsApp entries of your contact list, and this registration"
)
DELETE_CONFIRM: Final = f"This deletes for good: {DELETED_LIST}. Write 'delete yes' to do it."
DELETING: Final = "Your account is being deleted. You are told when that is done."
DELETED: Final = f"Done. Deleted are: {DELETED_LIST}."
DELETE_SLOW: Final = (
    "Deleting takes longer than usual. It goes on by itself; your host can see what it waits for. {details}"
)
RESIDUE: Final = (
    "The picture of a code may stay on the upload server until it expires there; it cannot be used any more."
)

CHOICES: Final = {
    "receipts": "My contacts see what I have read. Without it my phone shows it as unread, too.",
    "typing": "My contacts see that I am writing.",
    "presence": "My contacts see that I am online. Without it WhatsApp does not tell me who of them is, either.",
}
CHOICE_KEPT: Final = "Your choice is kept and holds from now on."
CHOICE_LATER: Final = (
    "Your choice is kept. Your bridge has not heard of it yet: it holds as soon as it has, "
    "at the latest when the bridge starts anew."
)
CHOICE_UNKNOWN: Final = "This cannot be chosen. Write 'preferences' to see what can."
CHOICES_NOW: Final = (
    "This is how it is now:\n{lines}\nTo change it write for example 'set typing off' or 'set typing on'."
)

LOGIN_CODE: Final = (
    "{code} is your code to log in at the page of {domain}. It holds for {minutes} minutes. "
    "Give it to nobody; if you did not ask for it, do nothing."
)
LOGIN_CONFIRM: Final = (
    "If your client asks whether you agree instead: say yes only if the page shows {transaction} too, "
    "and no if you did not ask for it."
)

# On the login page, where a login server of the host is asked.
EMAIL_NOT_VERIFIED: Final = (
    "The login server has not verified your e-mail address, of which your XMPP address is made. "
    "Have it verified there, then log in again."
)
NO_ADDRESS: Final = (
    "The login server did not say which XMPP address is yours. Ask your host: the claims that it gives, "
    "or the setting 'jid' here, have to change."
)
ADDRESS_UNUSABLE: Final = (
    "What the login server says about you makes no XMPP address that can be used here. Ask your host to look at it."
)
PROVIDER_AWAY: Final = (
    "The login server cannot be reached at the moment. Try again in a minute; if that does not help, tell your host."
)
PROVIDER_WRONG: Final = (
    "The login server's answer cannot be used, so nobody was logged in. Tell your host: the log says why."
)
PROVIDER_REFUSED: Final = "The login server did not let you in, or the login was broken off there. Try again."
LOGIN_OLD: Final = (
    "This login was begun in another browser, more than ten minutes ago, or was used already. Log in once more."
)
TOO_MANY_LOGINS: Final = "Logins were begun too often from where you are. Wait ten minutes, then try again."

NOT_SERVED: Final = "You have no account at this gateway, so this reaches nobody. Write 'register' to {domain}."
AWAY: Final = "The bridge of your account is not running. Write 'status' to {domain}."
UNKNOWN: Final = "I do not understand that. " + ASK_HELP

# On the page only.
NEXT: Final = {
    Next.NOTHING: "There is nothing to do: write with your contacts.",
    Next.WAIT: "There is nothing to do: the bridge goes on by itself.",
    Next.SCAN: "Scan the code: on the phone open WhatsApp > Settings > Linked devices > Link a device.",
    Next.PASSKEY: "Answer WhatsApp, as it is explained below.",
    Next.NEW_CODE: "Get a new code when you want to link again.",
    Next.OPEN_PHONE: "Open WhatsApp on your phone.",
    Next.HOST: "Ask your host to look at it.",
    Next.STOP: "Ask your host to look at it.",
}
LOG_IN_AGAIN: Final = "Please log in."
WRONG_CODE: Final = "That is not the code, or it holds no longer. Try again, or ask for a new one."
SAID_NO: Final = "This login was refused in the XMPP client of that address. If that was a mistake, ask for a new code."
TOO_MANY_TRIES: Final = "That was tried too often. Wait ten minutes, then ask for a new code."
TOO_MANY_CODES: Final = "Codes were asked for too often. Wait ten minutes, then try again."
DESK_AWAY: Final = "The gateway does not answer at the moment, so no code can be sent. Try again in a minute."
NOT_THAT_ANSWER: Final = (
    "This answer was brought before, or not for this request. Copy the lines again, then try again."
)
NOT_FROM_HERE: Final = "This did not come from our page, or the page was too old. Nothing was changed; try again."
TOO_LARGE: Final = "That is more than this page takes. Nothing was changed."
NO_PAGE: Final = "There is no such page."
NO_SUCH_ACCOUNT: Final = "There is no such account."
HOST_DONE: Final = "It is asked for; it takes a moment until the account shows it."
HOST_DELETES: Final = (
    "This deletes for good the owner's link with WhatsApp, the stored keys and messages in transit, "
    "and the account with its preferences, figures and history."
)
LOGGED_OUT: Final = "You are logged out."
LOGGED_OUT_EVERYWHERE: Final = "You are logged out everywhere."
