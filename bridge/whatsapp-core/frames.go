package main

import (
	"encoding/binary"
	"errors"
	"io"
)

// A frame is a length (4 bytes, big-endian) and one JSON object. WhatsApp's own frames hold 16 MiB at most; in base64,
// with room to spare, that is:
const maxFrame = 32 << 20

const firstRead = 64 << 10 // a length is believed only as far as its bytes have come

var errFrameSize = errors.New("frame is empty or too large")

// readFrame gives the next frame's content; io.EOF between frames, io.ErrUnexpectedEOF inside one.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size == 0 || size > maxFrame {
		return nil, errFrameSize
	}
	content := make([]byte, 0, min(size, firstRead))
	for len(content) < size {
		from := len(content)
		content = append(content, make([]byte, min(size-from, max(from, firstRead)))...)
		if _, err := io.ReadFull(r, content[from:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return content, nil
}

// writeFrame writes one frame by one call, so that a reader never waits between length and content.
func writeFrame(w io.Writer, content []byte) error {
	if len(content) == 0 || len(content) > maxFrame {
		return errFrameSize
	}
	frame := make([]byte, 4, 4+len(content))
	binary.BigEndian.PutUint32(frame, uint32(len(content)))
	_, err := w.Write(append(frame, content...))
	return err
}
