package main

import (
	"context"
	"encoding/json"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

type call func(ctx context.Context, c *core, frame json.RawMessage) (any, error)

// calls is everything that the shard can ask for, by name; docs/whatsapp-core.md lists them with their arguments.
var calls = map[string]call{
	// the link
	"connect":          connectCall,
	"disconnect":       disconnectCall,
	"pair_phone":       unlinked(pairPhone),
	"passkey_response": unlinked(passkeyResponse),
	"passkey_confirm":  unlinked(passkeyConfirm),
	"logout":           with(logout),
	// messages
	"send":      with(send),
	"edit":      with(edit),
	"revoke":    with(revoke),
	"react":     with(react),
	"peer":      with(peer),
	"read":      with(markRead),
	"played":    with(markPlayed),
	"typing":    with(typing),
	"presence":  with(presence),
	"subscribe": with(subscribe),
	// people and groups
	"contacts":      with(contacts),
	"on_whatsapp":   with(onWhatsApp),
	"user_info":     with(userInfo),
	"picture":       with(picture),
	"group_info":    with(groupInfo),
	"groups":        with(groups),
	"lid":           with(lidOf),
	"pn":            with(numberOf),
	"chat_settings": with(chatSettings),
	"mute":          with(mute),
	"app_state":     with(appState),
	// files
	"download":         with(download),
	"upload":           with(upload),
	"media_retry":      with(mediaRetry),
	"media_retry_open": with(mediaRetryOpen),
	"history_request":  with(historyRequest),
	"history_download": with(historyDownload),
	"unavailable":      with(unavailable),
	// the process
	"stats": statsCall,
	"free":  freeCall,
}

// with makes a call of a function that needs a linked account and arguments of its own shape.
func with[A any](do func(ctx context.Context, client *whatsmeow.Client, a A) (any, error)) call {
	return unlinked(func(ctx context.Context, client *whatsmeow.Client, a A) (any, error) {
		if client.Store.GetJID().IsEmpty() {
			return nil, errNotLinked // there is no store to look into yet
		}
		return do(ctx, client, a)
	})
}

// unlinked is the same for what comes before the link.
func unlinked[A any](do func(ctx context.Context, client *whatsmeow.Client, a A) (any, error)) call {
	return func(ctx context.Context, c *core, frame json.RawMessage) (any, error) {
		var arguments A
		if err := json.Unmarshal(frame, &arguments); err != nil {
			return nil, err
		}
		client, err := c.current()
		if err != nil {
			return nil, err
		}
		return do(ctx, client, arguments)
	}
}

type nothing struct{}

// whom is the argument of calls about one address.
type whom struct {
	Who types.JID `json:"who"`
}

// toLID gives the address to speak to: the LID where the store knows it, since WhatsApp addresses by LID.
func toLID(ctx context.Context, client *whatsmeow.Client, who types.JID) types.JID {
	if who.Server == types.DefaultUserServer {
		if lid, err := client.Store.LIDs.GetLIDForPN(ctx, who); err == nil && !lid.IsEmpty() {
			return lid.ToNonAD()
		}
	}
	return who.ToNonAD()
}
