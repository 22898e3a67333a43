#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/types.h"
#include "mysql/dialect.h"
#include "mysql/server.h"

// One connection to a server, by libmysqlclient's API: the only place that includes mysql.h.
//
// Purpose: ask one question, get rows or a classified error, never later than the deadline. The calls block
// the calling thread (`mysql/worker` has one for it); a connection belongs to one thread at a time.
//
// Deadlines: both libraries count their time-outs in whole seconds and for each read anew. Here the
// libraries' own non-blocking calls are driven by one poll loop, so a deadline is exact and covers the call
// as a whole, and a readable `wake_fd` ends any call at once. After a deadline, a broken connection or a wake
// the connection is of no more use (`usable()`): the server may still carry out what it was sent. Two
// things are bounded less well: a server that falls silent in the middle of a TLS handshake can cost a second
// more, and the C library's resolver takes the time that it takes. Use address literals where that matters.
//
// Errors (SqlErrorKind): `refused` only for ECONNREFUSED, `missing` for a socket file that is not there,
// `unreachable` for any other way in which no greeting came, `denied` for a server that answered and does not
// let us in (TLS and authentication failures included: whoever answers is alive), `lost` for a connection
// that broke.
//
// Libraries: MariaDB Connector/C 3.x is the reference, Oracle's libmysqlclient from 8.0.16 compiles as well.
//
// TLS: `required` fails on a server that offers none; `verify_ca` checks the server's certificate against the
// CA, and not the host name.
namespace ringagent {

struct ConnectSettings {
  std::string socket;  // path of a unix socket; "": TCP to `address`
  Address address;
  std::string user;
  std::string password;
  TlsMode tls = TlsMode::off;
  std::string ca_file;
};

class Client {
 public:
  // Connects, logs in and sets the session up (see kSessionSetup). `wake_fd`: -1 or a descriptor as above.
  static SqlResult<Client> connect(const ConnectSettings& settings, Duration deadline, int wake_fd = -1);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // never blocks

  SqlResult<Rows> query(std::string_view sql, Duration deadline);

  bool usable() const;
  // Whether the server has closed an idle connection, without asking it.
  bool stale() const;
  // The server's greeting; parse_version() reads it.
  std::string server_version() const;
  std::uint64_t connection_id() const;
  int fd() const;
  // The process that listens on the unix socket, by SO_PEERCRED; 0 over TCP, or if it is init (socket
  // activation).
  std::uint64_t peer_pid() const;

  // What a thread calls last, if it has used clients.
  static void leave_thread();

  // The library in use, for `ringagent version`.
  static std::string library();

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The kind of an error, by its number and the errno that the libraries put at the end of the text.
// `connecting`: there was no session yet. Exposed for the tests.
SqlErrorKind classify(unsigned number, std::string_view text, bool connecting);

}  // namespace ringagent
