package awsjson

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// Client calls operations. It neither retries nor times out by itself: both are the caller's choice, by call.
type Client struct {
	Endpoint string       // URL of the service, e.g. "https://host:8700/"
	HTTP     *http.Client // nil means http.DefaultClient
	Header   http.Header  // sent with every request, e.g. the agent's version
	MaxReply int64        // bytes; what follows is cut off, so that the reply cannot be understood. 0 means 16 MiB

	// Sign adds the credentials when everything else about the request is set; bodyHash is the SHA-256 of the body in
	// hexadecimal. Nil sends requests unsigned.
	Sign func(req *http.Request, bodyHash string) error
}

// maxReply is the default of MaxReply in bytes: more than the longest list.
const maxReply = 16 << 20

// Call runs one operation: target is its value of X-Amz-Target, in its input, out a pointer to its output, or nil to
// ignore that. A failure that the service reports is an *Error; every other error means that the service was not
// reached or its answer not understood.
func (c *Client) Call(ctx context.Context, target string, in, out any) error {
	req, err := c.request(ctx, target, in)
	if err != nil {
		return fmt.Errorf("call %s: %w", target, err)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, cmp.Or(c.MaxReply, maxReply)))
	if err != nil {
		return fmt.Errorf("call %s: read the reply: %w", target, err)
	}
	if resp.StatusCode != http.StatusOK {
		return serviceError(resp, body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if out == nil {
		out = &struct{}{} // still an answer of the service, and not the login page of a proxy
	}
	if err := decode(body, out); err != nil {
		return fmt.Errorf("call %s: understand the reply: %w", target, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, target string, in any) (*http.Request, error) {
	body, err := encode(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, c.Header)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set(targetHeader, target)
	if c.Sign == nil {
		return req, nil
	}
	hash := sha256.Sum256(body)
	if err := c.Sign(req, hex.EncodeToString(hash[:])); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return req, nil
}

// serviceError reads a failure as tolerantly as AWS clients do: the name may carry a namespace, may be in the header
// only, and the message may be spelt with a capital.
func serviceError(resp *http.Response, body []byte) *Error {
	var reply struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"` // encoding/json takes Message for it too
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		reply.Message = fmt.Sprintf("%s answered %s with a body that is not JSON", resp.Request.URL.Host, resp.Status)
	}
	name := reply.Type
	if name == "" {
		name = reply.Code
	}
	if name == "" {
		name, _, _ = strings.Cut(resp.Header.Get(errorTypeHeader), ":")
	}
	if name == "" {
		name = http.StatusText(resp.StatusCode)
	}
	return &Error{
		Name:      name[strings.LastIndexByte(name, '#')+1:],
		Message:   reply.Message,
		Status:    resp.StatusCode,
		RequestID: resp.Header.Get(requestIDHeader),
	}
}
