package store

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
)

// TestAuditRecordsAreBounded: a call that is refused must not cost the disk more than it is worth.
func TestAuditRecordsAreBounded(t *testing.T) {
	t.Parallel()
	a := NewAudit(awsapi.AuditRecord{})
	a.Note("s3:DeleteObject", strings.Repeat("x", 1101), strings.Repeat("a", 1100), strings.Repeat("b", 1100), strings.Repeat("c", 1100), strings.Repeat("d", 1100))
	r, _ := a.End(time.Now(), AuditOK, "")
	if n := len(r.Resources); n != 4 || r.Resources[3] != "(2 more)" {
		t.Errorf("kept %d resources", n)
	}
}
