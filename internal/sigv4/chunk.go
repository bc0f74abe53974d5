package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// chunkReader decodes an aws-chunked body:
//
//	size[;chunk-signature=hex] CRLF data CRLF        any number of times
//	0[;chunk-signature=hex] CRLF
//	[name:value CRLF ... [x-amz-trailer-signature:hex CRLF]]
//	CRLF
//
// Each chunk's signature covers the one before it, the first the request's, so chunks can be neither changed nor moved
// nor left out. Data is handed on before its chunk is complete, to keep memory constant: only io.EOF proves it.
type chunkReader struct {
	body    io.ReadCloser
	in      *bufio.Reader
	q       *Request
	key     []byte
	trailer http.Header

	signedChunks  bool
	wantTrailer   bool
	signedTrailer bool

	previous  string    // signature that the next one is chained to
	signature string    // of the current chunk
	hash      hash.Hash // of the current chunk's data
	left      int64     // bytes left in the current chunk
	total     int64     // bytes decoded so far
	length    int64     // declared decoded length, -1 if unknown
	err       error     // sticky
}

const (
	maxChunkLine   = 4 << 10  // one line of framing, bytes
	maxChunkSize   = 5 << 30  // S3's limit on an upload in one request, bytes
	maxTrailerSize = 16 << 10 // all trailers together, bytes
)

func newChunkReader(body io.ReadCloser, q *Request, key []byte, length int64, trailer http.Header) *chunkReader {
	return &chunkReader{
		body: body, in: bufio.NewReaderSize(body, 32<<10), q: q, key: key, trailer: trailer, length: length,
		signedChunks:  q.payload != unsignedPayloadTrailer,
		wantTrailer:   q.payload != streamingSigned,
		signedTrailer: q.payload == streamingSignedTrailer,
		previous:      q.signature, hash: sha256.New(),
	}
}

func (c *chunkReader) Close() error { return c.body.Close() }

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.err == nil && c.left == 0 {
		c.err = c.nextChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	if c.signedChunks {
		c.hash.Write(p[:n])
	}
	c.left -= int64(n)
	c.total += int64(n)
	switch {
	case err == io.EOF:
		c.err = io.ErrUnexpectedEOF
	case err != nil:
		c.err = err
	case c.left == 0:
		c.err = c.endChunk()
	}
	return n, c.err
}

// nextChunk reads a chunk's first line. The chunk of size 0 ends the body: it returns io.EOF if all was well.
func (c *chunkReader) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil || n > maxChunkSize {
		return Errorf(BadChunk, "A chunk does not begin with its size.")
	}
	c.left = int64(n)
	if c.length >= 0 && c.total+c.left > c.length {
		return Errorf(BadChunk, "The body is longer than X-Amz-Decoded-Content-Length.")
	}
	if c.signedChunks {
		c.signature, _ = strings.CutPrefix(extension, "chunk-signature=")
	}
	if n > 0 {
		return nil
	}
	return c.finish()
}

// endChunk checks the line end after the data, and the chunk's signature.
func (c *chunkReader) endChunk() error {
	if line, err := c.line(); err != nil {
		return err
	} else if line != "" {
		return Errorf(BadChunk, "A chunk is longer than its size.")
	}
	return c.checkChunk()
}

func (c *chunkReader) checkChunk() error {
	if !c.signedChunks {
		return nil
	}
	digest := hex.EncodeToString(c.hash.Sum(nil))
	c.hash.Reset()
	return c.check("PAYLOAD", c.signature, emptyHash+"\n"+digest)
}

// check compares a signature with the one that continues the chain.
func (c *chunkReader) check(kind, got, digests string) error {
	text := algorithm + "-" + kind + "\n" + stamp(c.q.time) + "\n" + c.q.Scope.String() + "\n" + c.previous + "\n" + digests
	want := hexMAC(c.key, text)
	if !same(want, got) {
		return Errorf(BadSignature, "The signature of a chunk or of the trailers does not match.")
	}
	c.previous = want
	return nil
}

// finish reads what follows the last chunk's first line.
func (c *chunkReader) finish() error {
	if err := c.checkChunk(); err != nil {
		return err
	}
	if c.length >= 0 && c.total != c.length {
		return Errorf(BadChunk, "The body is shorter than X-Amz-Decoded-Content-Length.")
	}
	if err := c.readTrailers(); err != nil {
		return err
	}
	if _, err := c.in.ReadByte(); err == nil {
		return Errorf(BadChunk, "There is more after the last chunk.")
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

// readTrailers reads up to the blank line that ends the body. Before a trailer signature some clients send a blank line
// too, so there the signature is what ends it.
func (c *chunkReader) readTrailers() error {
	var signature, text string
	size := 0
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if size += len(line) + 1; size > maxTrailerSize {
			return Errorf(BadChunk, "The trailers are too long.")
		}
		if line == "" && (!c.signedTrailer || signature != "") {
			break
		}
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !ok || !c.wantTrailer || signature != "":
			return Errorf(BadChunk, "The trailers are malformed.")
		case c.signedTrailer && name == "x-amz-trailer-signature":
			signature = value
		default:
			text += name + ":" + value + "\n"
			c.trailer.Add(name, value)
		}
	}
	if !c.signedTrailer {
		return nil
	}
	return c.check("TRAILER", signature, hexHash([]byte(text)))
}

// line reads one line of framing without its end.
func (c *chunkReader) line() (string, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxChunkLine:
			return "", Errorf(BadChunk, "A line between chunks is too long.")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		}
		return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
	}
}
