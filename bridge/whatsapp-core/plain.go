package main

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// How deep an event may nest; honest ones reach 15. The shard's JSON reader has a limit too.
const maxDepth = 100

// frameOf gives an event of any type, known here or not, as a frame: its type's name and all its fields.
func frameOf(event any) object {
	if message, ok := event.(*events.Message); ok {
		lean := *message // the content is in Message already; the raw forms would only say it again
		lean.RawMessage, lean.SourceWebMsg = nil, nil
		event = &lean
	}
	kind := reflect.TypeOf(event)
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	said := object{"e": kind.Name()}
	if fields := plain(reflect.ValueOf(event), 0); fields != nil {
		said["d"] = fields
	}
	return said
}

// plain turns a value into what JSON can say, and leaves out what is empty (nil): JIDs as text, times in seconds since
// 1970, durations in seconds, bytes in base64, fields under their Go names, embedded ones as their own.
func plain(v reflect.Value, depth int) any {
	if !v.IsValid() || depth > maxDepth || (v.Kind() != reflect.Struct && v.IsZero()) {
		return nil
	}
	if v.CanInterface() {
		switch known := v.Interface().(type) {
		case types.JID:
			return orNil(known.String())
		case time.Time:
			if known.IsZero() {
				return nil
			}
			return known.Unix()
		case time.Duration:
			return known.Seconds()
		case proto.Message:
			return protoPlain(known.ProtoReflect(), depth)
		case error:
			return known.Error()
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return plain(v.Elem(), depth+1)
	case reflect.Struct:
		return orNothing(structPlain(v, depth))
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return base64.StdEncoding.EncodeToString(bytesOf(v))
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), depth+1)
		}
		return list
	case reflect.Map:
		found := object{}
		for _, key := range v.MapKeys() {
			if value := plain(v.MapIndex(key), depth+1); value != nil {
				found[fmt.Sprint(key)] = value
			}
		}
		return orNothing(found)
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return realPlain(v.Float())
	}
	return nil // functions and channels
}

func structPlain(v reflect.Value, depth int) object {
	found := object{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		value := plain(v.Field(i), depth+1)
		if inner, isObject := value.(object); isObject && field.Anonymous {
			for name, one := range inner {
				if _, outer := found[name]; !outer {
					found[name] = one
				}
			}
		} else if value != nil {
			found[field.Name] = value
		}
	}
	return found
}

// protoPlain gives a message's fields under their names in WhatsApp's schema, enums as numbers; "?" where there was
// something that the schema does not know.
func protoPlain(m protoreflect.Message, depth int) any {
	if !m.IsValid() {
		return nil
	}
	found := object{}
	if depth > maxDepth {
		return object{"?": true}
	}
	if len(m.GetUnknown()) > 0 {
		found["?"] = true
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := string(field.Name())
		switch {
		case field.IsList():
			list := make([]any, value.List().Len())
			for i := range list {
				list[i] = protoOne(field, value.List().Get(i), depth)
			}
			found[name] = list
		case field.IsMap():
			entries := object{}
			value.Map().Range(func(key protoreflect.MapKey, one protoreflect.Value) bool {
				entries[key.String()] = protoOne(field.MapValue(), one, depth)
				return true
			})
			found[name] = entries
		default:
			found[name] = protoOne(field, value, depth)
		}
		return true
	})
	return found
}

func protoOne(field protoreflect.FieldDescriptor, value protoreflect.Value, depth int) any {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoPlain(value.Message(), depth+1)
	case protoreflect.EnumKind:
		return int32(value.Enum())
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(value.Bytes())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return realPlain(value.Float())
	}
	return value.Interface()
}

// realPlain leaves out what JSON has no word for: infinities and what is no number.
func realPlain(value float64) any {
	if value-value != 0 {
		return nil
	}
	return value
}

func bytesOf(v reflect.Value) []byte {
	content := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(content), v)
	return content
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func orNothing(found object) any {
	if len(found) == 0 {
		return nil
	}
	return found
}
