package awsjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decode reads a JSON object into the structure or map that out points to.
//
// It differs from json.Unmarshal where AWS does: member names match exactly, an error names the member by its full path,
// and null is absent everywhere. It also refuses what cannot be stored: text that is not UTF-8, which encoding/json would
// silently replace, and NUL, which PostgreSQL does not take. Unknown members are ignored and never recursed into;
// encoding/json bounds the nesting of the whole.
func decode(body []byte, out any) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return fmt.Errorf("the body is not valid JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("the body has something after its JSON object")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("want a JSON object as the body, got %s", kind(value))
	}
	return assign(reflect.ValueOf(out).Elem(), object, "")
}

// assign stores a decoded JSON value that is not null in dst; path names the member in errors.
func assign(dst reflect.Value, value any, path string) error {
	if u, ok := dst.Addr().Interface().(json.Unmarshaler); ok {
		return assignSelf(u, value, path)
	}
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return assign(dst.Elem(), value, path)
	case reflect.Struct:
		if object, ok := value.(map[string]any); ok {
			return assignStruct(dst, object, path)
		}
	case reflect.Slice:
		if list, ok := value.([]any); ok {
			return assignSlice(dst, list, path)
		}
	case reflect.Map:
		if object, ok := value.(map[string]any); ok {
			return assignMap(dst, object, path)
		}
	case reflect.Interface:
		dst.Set(reflect.ValueOf(value))
		return nil
	default:
		return assignScalar(dst, value, path)
	}
	return mismatch(path, dst, value)
}

// assignSelf hands the value back in JSON to a type that reads itself, such as a timestamp.
func assignSelf(u json.Unmarshaler, value any, path string) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := u.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func assignStruct(dst reflect.Value, object map[string]any, path string) error {
	for i := range dst.NumField() {
		name, _, _ := strings.Cut(dst.Type().Field(i).Tag.Get("json"), ",")
		value := object[name]
		if name == "" || value == nil {
			continue
		}
		if err := assign(dst.Field(i), value, join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func assignSlice(dst reflect.Value, list []any, path string) error {
	slice := reflect.MakeSlice(dst.Type(), 0, len(list))
	for i, value := range list {
		if value == nil {
			continue
		}
		element := reflect.New(dst.Type().Elem()).Elem()
		if err := assign(element, value, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
		slice = reflect.Append(slice, element)
	}
	dst.Set(slice)
	return nil
}

func assignMap(dst reflect.Value, object map[string]any, path string) error {
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(object)))
	for name, value := range object {
		if value == nil {
			continue
		}
		element := reflect.New(dst.Type().Elem()).Elem()
		if err := assign(element, value, join(path, name)); err != nil {
			return err
		}
		dst.SetMapIndex(reflect.ValueOf(name).Convert(dst.Type().Key()), element)
	}
	return nil
}

func assignScalar(dst reflect.Value, value any, path string) error {
	switch v := value.(type) {
	case string:
		if dst.Kind() != reflect.String {
			break
		}
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("%s: the text holds a NUL character; remove it", path)
		}
		dst.SetString(v)
		return nil
	case bool:
		if dst.Kind() != reflect.Bool {
			break
		}
		dst.SetBool(v)
		return nil
	case json.Number:
		return assignNumber(dst, v, path)
	}
	return mismatch(path, dst, value)
}

func assignNumber(dst reflect.Value, number json.Number, path string) error {
	switch {
	case dst.CanInt():
		n, err := strconv.ParseInt(number.String(), 10, 64)
		if err != nil || dst.OverflowInt(n) {
			return fmt.Errorf("%s: want an integer of at most %d bits, got %s", path, dst.Type().Bits(), number)
		}
		dst.SetInt(n)
		return nil
	case dst.CanFloat():
		f, err := number.Float64()
		if err != nil {
			return fmt.Errorf("%s: %s is out of range", path, number)
		}
		dst.SetFloat(f)
		return nil
	}
	return mismatch(path, dst, number)
}

func mismatch(path string, dst reflect.Value, value any) error {
	return fmt.Errorf("%s: want %s, got %s", path, wanted(dst), kind(value))
}

func wanted(dst reflect.Value) string {
	switch dst.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "true or false"
	}
	return "a number"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
