package main

import (
	"context"
	"reflect"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types"
)

// contacts gives the address book as the store has it: per entry jid and the same person's other address (alt).
func contacts(ctx context.Context, client *whatsmeow.Client, _ nothing) (any, error) {
	all, err := client.Store.Contacts.GetAllContacts(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]object, 0, len(all))
	for jid, known := range all {
		alt, _ := client.Store.GetAltJID(ctx, jid) // not knowing it is no error
		name, called := known.FullName, known.PushName
		if name == "" {
			name = known.FirstName
		}
		if called == "" {
			called = known.BusinessName
		}
		entries = append(entries, object{"jid": jid, "alt": alt, "name": name, "push": called})
	}
	return entries, nil
}

func onWhatsApp(ctx context.Context, client *whatsmeow.Client, a struct {
	Numbers []string `json:"numbers"`
}) (any, error) {
	asked := make([]string, len(a.Numbers))
	for i, number := range a.Numbers {
		asked[i] = "+" + number
	}
	found, err := client.IsOnWhatsApp(ctx, asked)
	return plainly(found), err
}

func userInfo(ctx context.Context, client *whatsmeow.Client, a struct {
	Who []types.JID `json:"who"`
}) (any, error) {
	found, err := client.GetUserInfo(ctx, a.Who)
	return plainly(found), err
}

func picture(ctx context.Context, client *whatsmeow.Client, a struct {
	Who     types.JID `json:"who"`
	Preview bool      `json:"preview"`
	Known   string    `json:"known"` // id of the picture that the shard has: nothing comes if it is still that one
}) (any, error) {
	asked := &whatsmeow.GetProfilePictureParams{Preview: a.Preview, ExistingID: a.Known}
	found, err := client.GetProfilePictureInfo(ctx, toLID(ctx, client, a.Who), asked)
	return plainly(found), err
}

func groupInfo(ctx context.Context, client *whatsmeow.Client, a whom) (any, error) {
	found, err := client.GetGroupInfo(ctx, a.Who)
	return plainly(found), err
}

func groups(ctx context.Context, client *whatsmeow.Client, _ nothing) (any, error) {
	found, err := client.GetJoinedGroups(ctx)
	return plainly(found), err
}

func lidOf(ctx context.Context, client *whatsmeow.Client, a whom) (any, error) {
	found, err := client.Store.LIDs.GetLIDForPN(ctx, a.Who)
	return object{"jid": found}, err
}

func numberOf(ctx context.Context, client *whatsmeow.Client, a whom) (any, error) {
	found, err := client.Store.LIDs.GetPNForLID(ctx, a.Who)
	return object{"jid": found}, err
}

func chatSettings(ctx context.Context, client *whatsmeow.Client, a whom) (any, error) {
	found, err := client.Store.ChatSettings.GetChatSettings(ctx, a.Who)
	return plainly(found), err
}

// mute is for `seconds`; 0 for ever, below 0 not at all.
func mute(ctx context.Context, client *whatsmeow.Client, a struct {
	Chat    types.JID `json:"chat"`
	Seconds int64     `json:"seconds"`
}) (any, error) {
	patch := appstate.BuildMute(a.Chat, a.Seconds >= 0, time.Duration(max(a.Seconds, 0))*time.Second)
	return nil, client.SendAppState(ctx, patch)
}

func appState(ctx context.Context, client *whatsmeow.Client, a struct {
	Names []appstate.WAPatchName `json:"names"`
	Full  bool                   `json:"full"`
}) (any, error) {
	for _, name := range a.Names {
		if err := client.FetchAppState(ctx, name, a.Full, false); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func plainly(value any) any { return plain(reflect.ValueOf(value), 0) }
