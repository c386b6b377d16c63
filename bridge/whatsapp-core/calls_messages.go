package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// outgoing is the argument of everything that becomes a message. `id` is chosen by the shard, so that a repeat is the
// same message; empty lets whatsmeow choose. Content is a text, or any WhatsApp message as protobuf JSON.
type outgoing struct {
	To      types.JID       `json:"to"`
	ID      string          `json:"id"`
	Timeout int64           `json:"timeout_ms"`
	Text    string          `json:"text"`
	Message json.RawMessage `json:"m"`
	Target  string          `json:"target"` // id of the message that is edited, revoked or reacted to
	Author  types.JID       `json:"author"` // who wrote that one; empty: we did
}

func (a outgoing) content() (*waE2E.Message, error) {
	if len(a.Message) == 0 {
		return &waE2E.Message{Conversation: proto.String(a.Text)}, nil
	}
	return messageOf(a.Message)
}

func messageOf(data json.RawMessage) (*waE2E.Message, error) {
	message := &waE2E.Message{}
	return message, protojson.Unmarshal(data, message)
}

func (a outgoing) send(ctx context.Context, client *whatsmeow.Client, message *waE2E.Message) (any, error) {
	extra := whatsmeow.SendRequestExtra{ID: a.ID, Timeout: defaultTimeout}
	if a.Timeout > 0 {
		extra.Timeout = time.Duration(a.Timeout) * time.Millisecond
	}
	sent, err := client.SendMessage(ctx, a.To, message, extra)
	if err != nil {
		return nil, err
	}
	return object{"id": sent.ID, "t": sent.Timestamp.Unix(), "chat": sent.Chat, "sender": sent.Sender}, nil
}

func send(ctx context.Context, client *whatsmeow.Client, a outgoing) (any, error) {
	message, err := a.content()
	if err != nil {
		return nil, err
	}
	a.To = toLID(ctx, client, a.To)
	return a.send(ctx, client, message)
}

func edit(ctx context.Context, client *whatsmeow.Client, a outgoing) (any, error) {
	message, err := a.content()
	if err != nil {
		return nil, err
	}
	a.To = toLID(ctx, client, a.To)
	return a.send(ctx, client, client.BuildEdit(a.To, a.Target, message))
}

func revoke(ctx context.Context, client *whatsmeow.Client, a outgoing) (any, error) {
	a.To = toLID(ctx, client, a.To)
	return a.send(ctx, client, client.BuildRevoke(a.To, toLID(ctx, client, a.Author), a.Target))
}

func react(ctx context.Context, client *whatsmeow.Client, a outgoing) (any, error) {
	a.To = toLID(ctx, client, a.To)
	return a.send(ctx, client, client.BuildReaction(a.To, toLID(ctx, client, a.Author), a.Target, a.Text))
}

// peer sends a message to the account's own phone.
func peer(ctx context.Context, client *whatsmeow.Client, a outgoing) (any, error) {
	message, err := a.content()
	if err != nil {
		return nil, err
	}
	sent, err := client.SendPeerMessage(ctx, message)
	return object{"id": sent.ID}, err
}

type marks struct {
	Chat   types.JID `json:"chat"`
	Sender types.JID `json:"sender"`
	IDs    []string  `json:"ids"`
	Time   int64     `json:"t"`
}

func markRead(ctx context.Context, client *whatsmeow.Client, a marks) (any, error) {
	return a.send(ctx, client, types.ReceiptTypeRead)
}

func markPlayed(ctx context.Context, client *whatsmeow.Client, a marks) (any, error) {
	return a.send(ctx, client, types.ReceiptTypePlayed)
}

func (a marks) send(ctx context.Context, client *whatsmeow.Client, kind types.ReceiptType) (any, error) {
	chat, sender := toLID(ctx, client, a.Chat), toLID(ctx, client, a.Sender)
	return nil, client.MarkRead(ctx, a.IDs, time.Unix(a.Time, 0), chat, sender, kind)
}

func typing(ctx context.Context, client *whatsmeow.Client, a struct {
	Chat  types.JID `json:"chat"`
	State string    `json:"state"`
}) (any, error) {
	state, media := types.ChatPresenceComposing, types.ChatPresenceMediaText
	switch a.State {
	case "composing":
	case "recording":
		media = types.ChatPresenceMediaAudio
	case "paused":
		state = types.ChatPresencePaused
	default:
		return nil, errors.New("unknown state")
	}
	return nil, client.SendChatPresence(ctx, toLID(ctx, client, a.Chat), state, media)
}

// presence answers shown = false while WhatsApp does not know the owner's name: to be tried again.
func presence(ctx context.Context, client *whatsmeow.Client, a struct {
	Available bool `json:"available"`
}) (any, error) {
	state := types.PresenceUnavailable
	if a.Available {
		state = types.PresenceAvailable
	}
	err := client.SendPresence(ctx, state)
	if errors.Is(err, whatsmeow.ErrNoPushName) {
		return object{"shown": false}, nil
	}
	return object{"shown": err == nil}, err
}

func subscribe(ctx context.Context, client *whatsmeow.Client, a whom) (any, error) {
	return nil, client.SubscribePresence(ctx, toLID(ctx, client, a.Who))
}
