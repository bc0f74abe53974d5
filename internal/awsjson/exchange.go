package awsjson

import (
	"context"
	"errors"
	"net/http"
)

// exchange is what one request leaves behind for the code that serves it.
type exchange struct {
	requestID  string
	afterReply func(error)
}

type exchangeKey struct{}

// RequestID returns the id under which a Mux serves the request of ctx, and "" outside a Mux.
func RequestID(ctx context.Context) string {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return e.requestID
	}
	return ""
}

// AfterReply asks for fn to be called once the reply to the request of ctx has been written and flushed: with nil when
// it left this machine's hands, else with the reason why the caller cannot have it. A host command is handed over again
// only for such a reason (architecture.md 4, row 7). The last fn wins; outside a Mux nothing happens.
func AfterReply(ctx context.Context, fn func(err error)) {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		e.afterReply = fn
	}
}

func (e *exchange) finish(err error) {
	if e.afterReply != nil {
		e.afterReply(err)
	}
}

// flush makes a failed write visible where somebody wants to know; otherwise net/http may flush when it likes.
func flush(w http.ResponseWriter, e *exchange) error {
	if e.afterReply == nil {
		return nil
	}
	err := http.NewResponseController(w).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil // a wrapper that cannot flush says nothing about the caller
	}
	return err
}
