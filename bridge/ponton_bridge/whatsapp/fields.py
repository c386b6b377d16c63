"""Every field of a WhatsApp message (waE2E.Message) by name: what it is to a person, and where its words are.

Read by `content`. A field stands in exactly one of these tables or has a reader of its own there; a test holds that
against the list of fields in the installed wheel, so that an update of neonize shows what is new.
"""

from typing import Final, NamedTuple

from ponton_bridge.whatsapp.port import OtherKind


class Kind(NamedTuple):
    """What a field is, and the paths of its texts; repeated fields on the way give all their texts."""

    kind: OtherKind
    paths: tuple[str, ...] = ()


TEXTS: Final = {
    "templateButtonReplyMessage": ("selectedDisplayText",),
    "buttonsResponseMessage": ("selectedDisplayText",),
    "listResponseMessage": ("title", "description"),
    "interactiveResponseMessage": ("body.text",),
    "questionResponseMessage": ("text",),
    "statusQuestionAnswerMessage": ("text",),
}
POLL: Final = Kind(OtherKind.POLL, ("name", "options.optionName"))
BUTTONS: Final = ("buttons.buttonText.displayText",)
TEMPLATE: Final = ("hydratedTitleText", "hydratedContentText", "hydratedFooterText")
TEMPLATE_BUTTONS: Final = (
    "hydratedButtons.quickReplyButton.displayText",
    "hydratedButtons.urlButton.displayText",
    "hydratedButtons.urlButton.URL",
    "hydratedButtons.callButton.displayText",
    "hydratedButtons.callButton.phoneNumber",
)
KINDS: Final = {
    "ptvMessage": Kind(OtherKind.VIDEO_NOTE),
    "documentMessage": Kind(OtherKind.DOCUMENT, ("fileName", "caption")),
    "stickerMessage": Kind(OtherKind.STICKER, ("emojis",)),
    "stickerPackMessage": Kind(OtherKind.STICKER, ("name", "caption")),
    "contactsArrayMessage": Kind(OtherKind.CONTACT, ("contacts.displayName",)),
    "groupInviteMessage": Kind(OtherKind.GROUP_INVITE, ("groupName", "caption")),
    "newsletterAdminInviteMessage": Kind(OtherKind.GROUP_INVITE, ("newsletterName", "caption")),
    "newsletterFollowerInviteMessageV2": Kind(OtherKind.GROUP_INVITE, ("newsletterName", "caption")),
    "pollCreationMessage": POLL,
    "pollCreationMessageV2": POLL,
    "pollCreationMessageV3": POLL,
    "pollCreationMessageV5": POLL,
    "pollCreationMessageV6": POLL,
    "pollAddOptionMessage": Kind(OtherKind.POLL, ("addOption.optionName",)),
    "pollResultSnapshotMessage": Kind(OtherKind.POLL, ("name",)),
    "pollResultSnapshotMessageV3": Kind(OtherKind.POLL, ("name",)),
    "pollUpdateMessage": Kind(OtherKind.POLL_VOTE),
    "eventMessage": Kind(OtherKind.EVENT, ("name", "description", "location.name", "joinLink")),
    "eventInviteMessage": Kind(OtherKind.EVENT, ("eventTitle", "caption", "callLink")),
    "encEventResponseMessage": Kind(OtherKind.EVENT),
    "scheduledCallCreationMessage": Kind(OtherKind.EVENT, ("title",)),
    "scheduledCallEditMessage": Kind(OtherKind.EVENT),
    "bcallMessage": Kind(OtherKind.EVENT, ("caption",)),
    "callLogMesssage": Kind(OtherKind.EVENT),
    "pinInChatMessage": Kind(OtherKind.PIN),
    "keepInChatMessage": Kind(OtherKind.PIN),
    "sendPaymentMessage": Kind(OtherKind.PAYMENT, ("noteMessage.conversation", "noteMessage.extendedTextMessage.text")),
    "requestPaymentMessage": Kind(
        OtherKind.PAYMENT, ("noteMessage.conversation", "noteMessage.extendedTextMessage.text")
    ),
    "declinePaymentRequestMessage": Kind(OtherKind.PAYMENT),
    "cancelPaymentRequestMessage": Kind(OtherKind.PAYMENT),
    "paymentInviteMessage": Kind(OtherKind.PAYMENT),
    "paymentReminderMessage": Kind(OtherKind.PAYMENT, ("description",)),
    "splitPaymentMessage": Kind(OtherKind.PAYMENT, ("description",)),
    "splitPaymentUpdateMessage": Kind(OtherKind.PAYMENT),
    "invoiceMessage": Kind(OtherKind.PAYMENT, ("note",)),
    "buttonsMessage": Kind(OtherKind.BUSINESS, ("text", "contentText", "footerText", *BUTTONS)),
    "listMessage": Kind(
        OtherKind.BUSINESS, ("title", "description", "sections.title", "sections.rows.title", "footerText")
    ),
    "templateMessage": Kind(
        OtherKind.BUSINESS,
        (
            *(f"hydratedTemplate.{path}" for path in (*TEMPLATE, *TEMPLATE_BUTTONS)),
            *(f"hydratedFourRowTemplate.{path}" for path in (*TEMPLATE, *TEMPLATE_BUTTONS)),
            "interactiveMessageTemplate.body.text",
        ),
    ),
    "highlyStructuredMessage": Kind(OtherKind.BUSINESS, tuple(f"hydratedHsm.hydratedTemplate.{p}" for p in TEMPLATE)),
    "interactiveMessage": Kind(
        OtherKind.BUSINESS,
        (
            *("header.title", "header.subtitle", "body.text", "footer.text"),
            *("nativeFlowMessage.buttons.buttonParamsJSON", "carouselMessage.cards.body.text"),
        ),
    ),
    "productMessage": Kind(OtherKind.BUSINESS, ("product.title", "product.description", "body", "footer")),
    "orderMessage": Kind(OtherKind.BUSINESS, ("orderTitle", "message")),
    "richResponseMessage": Kind(OtherKind.BUSINESS, ("submessages.messageText",)),
    "requestPhoneNumberMessage": Kind(OtherKind.UNKNOWN),
    "statusNotificationMessage": Kind(OtherKind.STATUS),
    "statusQuotedMessage": Kind(OtherKind.STATUS, ("text",)),
    "statusStickerInteractionMessage": Kind(OtherKind.STATUS),
    "musicMessage": Kind(OtherKind.AUDIO),
    # Encrypted once more under a secret of the message that they belong to; nothing here opens them.
    "encReactionMessage": Kind(OtherKind.UNKNOWN),
    "encCommentMessage": Kind(OtherKind.UNKNOWN),
    "secretEncryptedMessage": Kind(OtherKind.UNKNOWN),
    "conditionalRevealMessage": Kind(OtherKind.UNKNOWN),
    "placeholderMessage": Kind(OtherKind.UNKNOWN),  # content that WhatsApp shows on the phone only
}
VIEW_ONCE: Final = ("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension")
WRAPPERS: Final = (
    *("deviceSentMessage", "ephemeralMessage", "documentWithCaptionMessage", "editedMessage", "commentMessage"),
    *("groupMentionedMessage", "botInvokeMessage", "lottieStickerMessage", "eventCoverImage", "statusMentionMessage"),
    *("pollCreationOptionImageMessage", "associatedChildMessage", "groupStatusMentionMessage", "spoilerMessage"),
    *("pollCreationMessageV4", "statusAddYours", "groupStatusMessage", "groupStatusMessageV2", "limitSharingMessage"),
    *("botTaskMessage", "questionMessage", "botForwardedMessage", "questionReplyMessage", "acp2SettingMessage"),
    *("newsletterAdminProfileMessage", "newsletterAdminProfileStatusMessage", "newsletterScheduledMessage"),
    *("botPlatformRegistrationSuccessMessage", "audioStickerMessage"),
)
SILENT: Final = frozenset(  # between devices, or beside the content: nothing that anybody wrote
    {
        *("senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo"),
        *("call", "chat", "stickerSyncRmrMessage", "messageHistoryBundle", "messageHistoryNotice"),
        *("groupRootKeyShare", "rootSecretDistributeMessage", "statusLinkPreviewMetadata"),
    }
)


class ProtocolType:
    """The ProtocolMessage.Type values that mean something to a person."""

    REVOKE: Final = 0
    TIMER: Final = 3
    EDIT: Final = 14


TOLD_TYPES: Final = frozenset({11, 23, 25})  # number shared, reminder, mentioned in a status: somebody did something
PROTOCOL_TYPES: Final = 41  # the highest known; above it somebody may have done something
