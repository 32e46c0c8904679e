package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	inboxTries    = 120
	inboxTimeout  = 40 * time.Second // the gateway answers 204 earlier than that
	inboxPause    = 500 * time.Millisecond
	maxInboxBytes = 1 << 20
)

// echo is an agent of the smallest kind: it fetches its task from the gateway's inbox and hands the input back.
// The helper in its pod stands at AOS_GATEWAY_URL and puts the pod's token on each request.
func echo() error {
	client := &http.Client{Timeout: inboxTimeout}
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

// ask repeats a request while the gateway can't be reached or says to come back; anything else ends it.
func ask(client *http.Client, method, path string, body []byte) ([]byte, error) {
	var last error
	for range inboxTries {
		status, answer, err := once(client, method, path, body)
		switch {
		case err != nil:
			last = err
		case status == http.StatusOK || status == http.StatusNoContent && method == http.MethodPost:
			return answer, nil
		case status == http.StatusConflict && method == http.MethodPost:
			return nil, nil // an earlier try arrived
		case status == http.StatusNoContent:
			last = fmt.Errorf("%s has no task yet", path)
		case status == http.StatusServiceUnavailable || status == http.StatusBadGateway || status == http.StatusTooManyRequests:
			last = fmt.Errorf("%s answered %d", path, status)
		default:
			return nil, fmt.Errorf("%s answered %d: %s", path, status, answer)
		}
		time.Sleep(inboxPause)
	}
	return nil, last
}

func once(client *http.Client, method, path string, body []byte) (int, []byte, error) {
	request, err := http.NewRequest(method, os.Getenv("AOS_GATEWAY_URL")+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxInboxBytes))
	return response.StatusCode, answer, err
}
