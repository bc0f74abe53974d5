// Package snstest is a service that speaks as much of SNS as the server does, for tests: it keeps what it is told to publish.
package snstest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Message is what somebody published.
type Message struct{ Topic, Subject, Body string }

// Server takes messages to any topic, unless it is told to refuse them.
type Server struct {
	URL string

	mu       sync.Mutex
	messages []Message
	refused  map[string]int // attempts, by topic
	refusing map[string]bool
	hanging  map[string]chan struct{} // closed when the topic answers again
	waiting  int                      // requests without an answer
}

// Start runs a Server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{refused: map[string]int{}, refusing: map[string]bool{}, hanging: map[string]chan struct{}{}}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	s.URL = listening.URL
	return s
}

// Refuse says that a topic takes no messages until Accept.
func (s *Server) Refuse(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing[topic] = true
}

// Hang says that requests about a topic get no answer until Accept, or until their sender gives up.
func (s *Server) Hang(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging[topic] = make(chan struct{})
}

// Accept says that a topic takes messages again.
func (s *Server) Accept(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refusing, topic)
	if answers, ok := s.hanging[topic]; ok {
		close(answers)
		delete(s.hanging, topic)
	}
}

// Messages returns what a topic has taken so far.
func (s *Server) Messages(topic string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		if m.Topic == topic {
			all = append(all, m)
		}
	}
	return all
}

// Attempts returns how many messages to a topic came while it refused or hung.
func (s *Server) Attempts(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[topic]
}

// Wait waits until a topic has taken n messages, and returns them.
func (s *Server) Wait(t testing.TB, topic string, n int) []Message {
	t.Helper()
	s.until(t, func() bool { return len(s.Messages(topic)) >= n })
	return s.Messages(topic)
}

// WaitForAttempts waits until a topic that does not take messages was tried n times.
func (s *Server) WaitForAttempts(t testing.TB, topic string, n int) {
	t.Helper()
	s.until(t, func() bool { return s.Attempts(topic) >= n })
}

// WaitForNobody waits until every request that got no answer has been given up.
func (s *Server) WaitForNobody(t testing.TB) {
	t.Helper()
	s.until(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waiting == 0
	})
}

// patience is how long a message may take.
const patience = 20 * time.Second

func (s *Server) until(t testing.TB, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("SNS did not see in %v what the test waits for", patience)
		}
	}
}

// ServeHTTP answers Publish of SNS.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	m := Message{r.FormValue("TopicArn"), r.FormValue("Subject"), r.FormValue("Message")}
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "/sns/aws4_request"):
		refuse(w, http.StatusForbidden, "IncompleteSignature", "the request is not signed for sns")
	case r.FormValue("Action") != "Publish" || m.Topic == "" || m.Body == "":
		refuse(w, http.StatusBadRequest, "InvalidParameter", "not a message to a topic")
	case len(m.Subject) > 100:
		refuse(w, http.StatusBadRequest, "InvalidParameter", "Invalid parameter: Subject")
	case !s.take(r, m):
		refuse(w, http.StatusNotFound, "NotFound", "Topic does not exist")
	default:
		fmt.Fprint(w, `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`)
	}
}

// take keeps a message, or reports false when its topic takes none.
func (s *Server) take(r *http.Request, m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answers, ok := s.hanging[m.Topic]; ok {
		s.refused[m.Topic]++
		s.waiting++
		s.mu.Unlock()
		select {
		case <-answers:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		s.waiting--
		if r.Context().Err() != nil {
			return false
		}
	}
	if s.refusing[m.Topic] {
		s.refused[m.Topic]++
		return false
	}
	s.messages = append(s.messages, m)
	return true
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
}
