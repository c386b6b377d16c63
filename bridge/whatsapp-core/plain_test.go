package main

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

var bob = types.NewJID("100", types.HiddenUserServer)

func said(t *testing.T, event any) object {
	t.Helper()
	data, err := json.Marshal(frameOf(event))
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func fields(t *testing.T, event any) object {
	t.Helper()
	found, _ := said(t, event)["d"].(object)
	return found
}

// A message has its source beside its id, its content under the schema's names, and its raw form only once.
func TestMessage(t *testing.T) {
	message := &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{
		Text: proto.String("hi"), ContextInfo: &waE2E.ContextInfo{StanzaID: proto.String("3EB0")},
	}}
	got := said(t, &events.Message{
		Info: types.MessageInfo{
			MessageSource: types.MessageSource{Chat: bob, Sender: bob, SenderAlt: types.NewJID("33612", types.DefaultUserServer)},
			ID:            "3EB1", Timestamp: time.Unix(1795000000, 0),
		},
		Message: message, RawMessage: message, RetryCount: 2,
	})
	want := object{"e": "Message", "d": object{
		"Info": object{"Chat": "100@lid", "Sender": "100@lid", "SenderAlt": "33612@s.whatsapp.net", "ID": "3EB1", "Timestamp": 1795000000.0},
		"Message": object{"extendedTextMessage": object{
			"text": "hi", "contextInfo": object{"stanzaID": "3EB0"},
		}},
		"RetryCount": 2.0,
	}}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("want %v\ngot  %v", want, got)
	}
}

// A type that whatsmeow may have tomorrow gets through with all that it holds, and what JSON has no word for is left out.
func TestUnknownEventGetsThrough(t *testing.T) {
	type Inner struct{ Deep map[types.JID]time.Duration }
	type Tomorrow struct {
		Inner
		Key     []byte
		Err     error
		Reasons []events.ConnectFailureReason
		Pointer *types.JID
		Empty   *types.JID
		Doing   func()
		Channel chan int
		Number  float64
		hidden  string
	}
	got := said(t, &Tomorrow{
		Inner: Inner{map[types.JID]time.Duration{bob: time.Minute}}, Key: []byte{1, 2}, Err: errors.New("why"),
		Reasons: []events.ConnectFailureReason{401}, Pointer: &bob, Doing: func() {}, Channel: make(chan int),
		Number: math.Inf(1), hidden: "x",
	})
	want := object{"e": "Tomorrow", "d": object{
		"Deep": object{"100@lid": 60.0}, "Key": "AQI=", "Err": "why", "Reasons": []any{401.0}, "Pointer": "100@lid",
	}}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("want %v\ngot  %v", want, got)
	}
}

// An event without fields is its name alone.
func TestEmptyEvent(t *testing.T) {
	if got := said(t, &events.Connected{}); !reflect.DeepEqual(object{"e": "Connected"}, got) {
		t.Fatal(got)
	}
}

// Enums are numbers, zero too where it was said; numbers and bytes come as they are.
func TestProtobufValues(t *testing.T) {
	got := fields(t, &events.Message{Message: &waE2E.Message{
		ProtocolMessage:     &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum(), TimestampMS: proto.Int64(1 << 50)},
		LocationMessage:     &waE2E.LocationMessage{DegreesLatitude: proto.Float64(-33.5), DegreesLongitude: proto.Float64(math.NaN())},
		ImageMessage:        &waE2E.ImageMessage{MediaKey: []byte{255}, Height: proto.Uint32(7)},
		PollCreationMessage: &waE2E.PollCreationMessage{Options: []*waE2E.PollCreationMessage_Option{{OptionName: proto.String("a")}}},
	}})["Message"]
	want := object{
		"protocolMessage":     object{"type": 0.0, "timestampMS": float64(1 << 50)},
		"locationMessage":     object{"degreesLatitude": -33.5, "degreesLongitude": nil},
		"imageMessage":        object{"mediaKey": "/w==", "height": 7.0},
		"pollCreationMessage": object{"options": []any{object{"optionName": "a"}}},
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("want %v\ngot  %v", want, got)
	}
}

// What the schema does not know is not shown, but told.
func TestUnknownFieldsAreTold(t *testing.T) {
	message := &waE2E.Message{}
	raw := protowire.AppendVarint(protowire.AppendTag(nil, 5000, protowire.VarintType), 1)
	if err := proto.Unmarshal(raw, message); err != nil {
		t.Fatal(err)
	}
	if got := fields(t, &events.Message{Message: message})["Message"]; !reflect.DeepEqual(object{"?": true}, got) {
		t.Fatal(got)
	}
}

// A message that holds itself a thousand times is cut, not followed to the end.
func TestDepthIsBounded(t *testing.T) {
	message := &waE2E.Message{Conversation: proto.String("deep")}
	for range 1000 {
		message = &waE2E.Message{EphemeralMessage: &waE2E.FutureProofMessage{Message: message}}
	}
	data, err := json.Marshal(frameOf(&events.Message{Message: message}))
	if err != nil || strings.Contains(string(data), "deep") || strings.Count(string(data), "{") > 2*maxDepth {
		t.Fatal(err, len(data))
	}
}

// Whatever WhatsApp can put into a message is said as JSON.
func FuzzMessages(f *testing.F) {
	for _, message := range []*waE2E.Message{
		{Conversation: proto.String("hi")},
		{ReactionMessage: &waE2E.ReactionMessage{Text: proto.String("x")}},
		{LocationMessage: &waE2E.LocationMessage{DegreesLatitude: proto.Float64(math.Inf(-1))}},
	} {
		data, err := proto.Marshal(message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message := &waE2E.Message{}
		if proto.Unmarshal(data, message) != nil {
			return
		}
		if _, err := json.Marshal(frameOf(&events.Message{Message: message})); err != nil {
			t.Fatal(err)
		}
	})
}
