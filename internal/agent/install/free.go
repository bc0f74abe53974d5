package install

import "errors"

// FreeAt looks at the mount on which path lies, or would lie once it exists. The function that it returns compares with what
// was free then: it fails when so many bytes and files in all have no room, and says what to do.
func FreeAt(path string) (func(bytes, files int64) error, error) {
	m, err := mountOf(path)
	if err != nil {
		return nil, err
	}
	return func(bytes, files int64) error {
		d := demand{mount: m, bytes: bytes, files: files}
		if reason := d.shortage("this"); reason != "" {
			return errors.New(reason + ". " + roomAdvice)
		}
		return nil
	}, nil
}
