package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	inboxTries    = 120
	inboxPause    = 500 * time.Millisecond
	maxInboxBytes = 1 << 20
)

// echo is an agent of the smallest kind: it fetches its task from the gateway's inbox and hands the input back.
func echo() error {
	client, err := gatewayClient()
	if err != nil {
		return err
	}
	task, err := ask(client, http.MethodGet, "/v1/task", nil)
	if err != nil {
		return err
	}
	var assignment struct {
		Input json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal(task, &assignment); err != nil {
		return err
	}
	result, err := json.Marshal(map[string]json.RawMessage{"output": assignment.Input})
	if err != nil {
		return err
	}
	_, err = ask(client, http.MethodPost, "/v1/task/result", result)
	return err
}

func gatewayClient() (*http.Client, error) {
	authority, err := os.ReadFile(os.Getenv("AOS_CA_FILE"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("AOS_CA_FILE holds no certificate")
	}
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}, nil
}

// ask repeats a request while the gateway can't be reached or says to come back; anything else ends it.
func ask(client *http.Client, method, path string, body []byte) ([]byte, error) {
	var last error
	for range inboxTries {
		status, answer, err := once(client, method, path, body)
		switch {
		case err != nil:
			last = err
		case status == http.StatusOK || status == http.StatusNoContent:
			return answer, nil
		case status == http.StatusConflict && method == http.MethodPost:
			return nil, nil // an earlier try arrived
		case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
			last = fmt.Errorf("%s answered %d", path, status)
		default:
			return nil, fmt.Errorf("%s answered %d: %s", path, status, answer)
		}
		time.Sleep(inboxPause)
	}
	return nil, last
}

func once(client *http.Client, method, path string, body []byte) (int, []byte, error) {
	token, err := os.ReadFile(os.Getenv("AOS_TOKEN_FILE"))
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequest(method, os.Getenv("AOS_GATEWAY_URL")+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxInboxBytes))
	return response.StatusCode, answer, err
}
