package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const connectTimeout = 15 * time.Second

// newHTTPClient returns the client for the command service and for S3: proxy and certificate authorities as configured.
// Each call has its own time limit.
func newHTTPClient(cfg Config) (*http.Client, error) {
	roots, err := trustedRoots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if cfg.ProxyURI != "" {
		address, err := url.Parse(cfg.ProxyURI)
		if err != nil || address.Host == "" {
			return nil, fmt.Errorf("proxy_uri is no URL such as http://proxy:3128")
		}
		proxy = http.ProxyURL(address)
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: cfg.HTTPReadTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
	}}, nil
}

// trustedRoots are the system's certificate authorities, those named by the variables that stock agents read (agent.md 2),
// and the file of the configuration.
func trustedRoots(caFile string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any: what is named below may be enough
	}
	files := []string{os.Getenv("SSL_CERT_FILE"), os.Getenv("AWS_SSL_CA_BUNDLE"), caFile}
	if dir := os.Getenv("AWS_SSL_CA_DIRECTORY"); dir != "" {
		inDir, err := filepath.Glob(filepath.Join(dir, "*.pem"))
		if err != nil {
			return nil, fmt.Errorf("AWS_SSL_CA_DIRECTORY: %w", err)
		}
		files = append(files, inDir...)
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authorities: %s holds no certificate in PEM form", file)
		}
	}
	return roots, nil
}
