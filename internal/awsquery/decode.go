package awsquery

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decode stores the parameters of a form in the structure that out points to. A parameter is named as its field, or by
// the field's tag `query:"Tags.member.1.Key"`. Fields are strings, "" when the parameter is absent, and pointers to int,
// which tell absent from 0. Unknown parameters are ignored.
func decode(form url.Values, out any) error {
	dst := reflect.ValueOf(out).Elem()
	for i := range dst.NumField() {
		field := dst.Type().Field(i)
		name := field.Tag.Get("query")
		if name == "" {
			name = field.Name
		}
		if !form.Has(name) {
			continue
		}
		if err := assign(dst.Field(i), form.Get(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func assign(dst reflect.Value, value string) error {
	switch p := dst.Addr().Interface().(type) {
	case *string:
		*p = value
	case **int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("want a number, got %q", value)
		}
		*p = &n
	default:
		panic(fmt.Sprintf("awsquery: a field cannot have the type %s", dst.Type()))
	}
	return nil
}

// parseForm decodes a form and refuses what cannot be stored or answered: text that is not UTF-8, which encoding/xml
// would silently replace, and NUL, which PostgreSQL does not take. A parameter that is given twice is a mistake too: which
// of its values counts would depend on who reads it.
func parseForm(body string) (url.Values, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, fmt.Errorf("the body is not a form: %w", err)
	}
	for name, values := range form {
		switch {
		case len(values) > 1:
			return nil, fmt.Errorf("the parameter %q is given %d times", name, len(values))
		case !utf8.ValidString(values[0]):
			return nil, fmt.Errorf("the parameter %q is not valid UTF-8", name)
		case strings.ContainsRune(values[0], 0):
			return nil, fmt.Errorf("the parameter %q holds a NUL character; remove it", name)
		}
	}
	return form, nil
}
