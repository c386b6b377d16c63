package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/encoding/protojson"
)

const nonceSize = 12 // bytes, of AES-GCM

var errNoMedia = errors.New("message holds no file")

// mediaOf gives what can be downloaded in a message's content.
func mediaOf(m *waE2E.Message) whatsmeow.DownloadableMessage {
	switch {
	case m.ImageMessage != nil:
		return m.ImageMessage
	case m.VideoMessage != nil:
		return m.VideoMessage
	case m.PtvMessage != nil:
		return m.PtvMessage
	case m.AudioMessage != nil:
		return m.AudioMessage
	case m.DocumentMessage != nil:
		return m.DocumentMessage
	case m.StickerMessage != nil:
		return m.StickerMessage
	}
	return nil
}

// download brings a message's file to `path`, which is there only once it is whole and its hash is right.
func download(ctx context.Context, client *whatsmeow.Client, a struct {
	Message json.RawMessage `json:"m"`
	Path    string          `json:"path"`
}) (any, error) {
	message, err := messageOf(a.Message)
	if err != nil {
		return nil, err
	}
	media := mediaOf(message)
	if media == nil {
		return nil, errNoMedia
	}
	err = whole(a.Path, func(file *os.File) error { return client.DownloadToFile(ctx, media, file) })
	return nil, err
}

// whole lets `write` fill a file beside `path` and gives it that name when that has gone well.
func whole(path string, write func(file *os.File) error) error {
	if !filepath.IsAbs(path) {
		return errors.New("path is not absolute")
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

var mediaKinds = map[string]whatsmeow.MediaType{
	"image": whatsmeow.MediaImage, "video": whatsmeow.MediaVideo,
	"audio": whatsmeow.MediaAudio, "document": whatsmeow.MediaDocument,
}

// upload encrypts a file beside itself and sends it; the answer's fields go into the message that offers it.
func upload(ctx context.Context, client *whatsmeow.Client, a struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
}) (any, error) {
	kind, known := mediaKinds[a.Kind]
	if !known || !filepath.IsAbs(a.Path) {
		return nil, errors.New("unknown kind, or path is not absolute")
	}
	file, err := os.Open(a.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sealed, err := os.CreateTemp(filepath.Dir(a.Path), "upload-*.part")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(sealed.Close(), os.Remove(sealed.Name())) }()
	sent, err := client.UploadReader(ctx, file, sealed, kind)
	if err != nil {
		return nil, err
	}
	return object{
		"URL": sent.URL, "directPath": sent.DirectPath, "mediaKey": sent.MediaKey, "fileEncSHA256": sent.FileEncSHA256,
		"fileSHA256": sent.FileSHA256, "fileLength": sent.FileLength,
	}, nil
}

// about names a message, for questions to the account's phone.
type about struct {
	Chat   types.JID `json:"chat"`
	Sender types.JID `json:"sender"`
	ID     string    `json:"id"`
	FromMe bool      `json:"from_me"`
	Time   int64     `json:"t"`
}

func (a about) info() *types.MessageInfo {
	source := types.MessageSource{
		Chat: a.Chat, Sender: a.Sender, IsFromMe: a.FromMe, IsGroup: a.Chat.Server == types.GroupServer,
	}
	return &types.MessageInfo{MessageSource: source, ID: a.ID, Timestamp: time.Unix(a.Time, 0)}
}

// mediaRetry asks the phone to upload a file again; the answer comes as the event MediaRetry.
func mediaRetry(ctx context.Context, client *whatsmeow.Client, a struct {
	about
	Key []byte `json:"key"`
}) (any, error) {
	return nil, client.SendMediaRetryReceipt(ctx, a.info(), a.Key)
}

// mediaRetryOpen reads that answer: where the file is now.
func mediaRetryOpen(_ context.Context, _ *whatsmeow.Client, a struct {
	Event events.MediaRetry `json:"event"`
	Key   []byte            `json:"key"`
}) (any, error) {
	if a.Event.Error == nil && len(a.Event.IV) != nonceSize {
		return nil, errors.New("this is no answer to a media retry")
	}
	opened, err := whatsmeow.DecryptMediaRetryNotification(&a.Event, a.Key)
	if err != nil {
		return nil, err
	}
	return object{"result": int32(opened.GetResult()), "directPath": opened.GetDirectPath()}, nil
}

// unavailable asks the phone for a message that no other device could read.
func unavailable(ctx context.Context, client *whatsmeow.Client, a about) (any, error) {
	sent, err := client.SendPeerMessage(ctx, client.BuildUnavailableMessageRequest(a.Chat, a.Sender, a.ID))
	return object{"id": sent.ID}, err
}

// historyRequest asks the phone for what was written before a message.
func historyRequest(ctx context.Context, client *whatsmeow.Client, a struct {
	about
	Count int `json:"count"`
}) (any, error) {
	sent, err := client.SendPeerMessage(ctx, client.BuildHistorySyncRequest(a.info(), a.Count))
	return object{"id": sent.ID}, err
}

// historyDownload turns a history notification into a file of JSON lines, one message each, in the form of its event.
func historyDownload(ctx context.Context, client *whatsmeow.Client, a struct {
	Notification json.RawMessage `json:"m"`
	Path         string          `json:"path"`
}) (any, error) {
	notification := &waE2E.HistorySyncNotification{}
	if err := protojson.Unmarshal(a.Notification, notification); err != nil {
		return nil, err
	}
	history, err := client.DownloadHistorySync(ctx, notification, true)
	if err != nil {
		return nil, err
	}
	written, unread := 0, 0
	err = whole(a.Path, func(file *os.File) error {
		out := bufio.NewWriter(file)
		lines := json.NewEncoder(out)
		for _, conversation := range history.GetConversations() {
			chat, err := types.ParseJID(conversation.GetID())
			if err != nil {
				unread += len(conversation.GetMessages())
				continue
			}
			for _, one := range conversation.GetMessages() {
				message, err := client.ParseWebMessage(chat, one.GetMessage())
				if err != nil {
					unread++
					continue
				}
				if err := lines.Encode(frameOf(message)); err != nil {
					return err
				}
				written++
			}
		}
		return out.Flush()
	})
	return object{"messages": written, "unread": unread, "type": int32(history.GetSyncType())}, err
}
