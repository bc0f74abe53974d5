package blob

import (
	"io"
	"testing"
)

// TestChecksums holds the check values of the algorithms' own specifications: the digest of "123456789".
func TestChecksums(t *testing.T) {
	t.Parallel()
	for a, want := range map[Algorithm]string{
		CRC32: "y/Q5Jg==", CRC32C: "4waSgw==", CRC64NVME: "rosUhgp5mIg=", SHA1: "98O8HYCOBHMq32eZZczDTKeuNEE=",
		SHA256: "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	} {
		h := a.New()
		io.WriteString(h, "123456789")
		if got := Encode(h); got != want || !a.Known() {
			t.Errorf("%s: got %s, want %s", a, got, want)
		}
	}
	if Algorithm("MD5").Known() {
		t.Error("MD5 is known")
	}
}
