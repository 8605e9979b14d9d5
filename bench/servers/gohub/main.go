// The classic hub of gorilla/websocket's chat example: one goroutine owns the connections, each connection has a goroutine
// that reads, one that writes, and a buffered channel of messages to send. Who does not empty it is disconnected.
// It speaks as the others do: see ../shared.js.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait       = 10 * time.Second
	pongWait        = 60 * time.Second
	pingPeriod      = 30 * time.Second
	maxMessageBytes = 128 * 1024
	sendBuffer      = 256
	headBytes       = 11
)

type client struct {
	hub  *hub
	conn *websocket.Conn
	room string
	send chan []byte
}

type publication struct {
	room string
	data []byte
}

type hub struct {
	everyone   map[*client]bool
	rooms      map[string]map[*client]bool
	publish    chan publication
	register   chan *client
	unregister chan *client
}

func (h *hub) remove(c *client) {
	if !h.everyone[c] {
		return
	}
	delete(h.everyone, c)
	delete(h.rooms[c.room], c)
	close(c.send)
}

func (h *hub) run() {
	for {
		select {
		case c := <-h.register:
			h.everyone[c] = true
			if c.room != "" {
				if h.rooms[c.room] == nil {
					h.rooms[c.room] = map[*client]bool{}
				}
				h.rooms[c.room][c] = true
			}
		case c := <-h.unregister:
			h.remove(c)
		case p := <-h.publish:
			targets := h.everyone
			if p.room != "" {
				targets = h.rooms[p.room]
			}
			for c := range targets {
				select {
				case c.send <- p.data:
				default:
					h.remove(c)
				}
			}
		}
	}
}

func (c *client) readPump() {
	defer func() {
		c.hub.unregister <- c
		c.conn.Close()
	}()
	c.conn.SetReadLimit(maxMessageBytes)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil || len(data) < headBytes {
			return
		}
		switch data[0] {
		case 'b':
			c.hub.publish <- publication{"", data}
		case 'e':
			c.send <- data
		case 'j':
			text, _ := json.Marshal(toObject(data))
			c.hub.publish <- publication{"", text}
		default:
			c.hub.publish <- publication{string(data[1:3]), data}
		}
	}
}

func (c *client) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case data, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if c.conn.WriteMessage(websocket.TextMessage, data) != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

type level struct {
	Price float64 `json:"price"`
	Size  int     `json:"size"`
}

type book struct {
	ID     string  `json:"id"`
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
	Bids   []level `json:"bids"`
	Asks   []level `json:"asks"`
}

func toObject(data []byte) book {
	b := book{ID: string(data[:headBytes]), Symbol: "ACME", Price: 101.25}
	for i := 0; i < 10; i++ {
		b.Bids = append(b.Bids, level{101 - float64(i)/4, 100 * (i + 1)})
		b.Asks = append(b.Asks, level{101.5 + float64(i)/4, 100 * (i + 1)})
	}
	return b
}

func main() {
	deflate := false
	for _, argument := range os.Args[1:] {
		deflate = deflate || argument == "--deflate"
	}
	h := &hub{map[*client]bool{}, map[string]map[*client]bool{}, make(chan publication), make(chan *client), make(chan *client)}
	go h.run()
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, EnableCompression: deflate, CheckOrigin: func(*http.Request) bool { return true }}
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &client{h, conn, r.URL.Query().Get("room"), make(chan []byte, sendBuffer)}
		h.register <- c
		go c.writePump()
		go c.readPump()
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			runtime.GC()
			debug.FreeOSMemory()
			fmt.Println("{}")
		}
		os.Exit(0)
	}()
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, nil))
}
