package awsapi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Epoch is a timestamp of the wire: a JSON number of seconds since 1970 in UTC, written with milliseconds
// (service.md 1). The zero Epoch is absent.
type Epoch struct{ time.Time }

// maxEpoch is the first second of the year 10000; later times cannot be told from mistakes (a time in milliseconds).
const maxEpoch = 253402300800

// At returns t as a timestamp of the wire.
func At(t time.Time) Epoch { return Epoch{t} }

// MarshalJSON writes the seconds with at most three digits after the point.
func (e Epoch) MarshalJSON() ([]byte, error) {
	if e.IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(e.UnixMilli())/1e3, 'f', -1, 64), nil
}

// UnmarshalJSON reads an integer or a fraction; null leaves e as it is.
func (e *Epoch) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("want seconds since 1970 as a number, got %s", data)
	}
	if math.Abs(seconds) >= maxEpoch {
		return fmt.Errorf("%s seconds since 1970 is out of range; the unit is seconds, not milliseconds", data)
	}
	e.Time = time.UnixMilli(int64(math.Round(seconds * 1e3))).UTC()
	return nil
}
