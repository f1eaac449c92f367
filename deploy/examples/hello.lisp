;;; An SCGI program on descriptor 0 in Common Lisp: SBCL and what comes with it.
;;;
;;;   apps:
;;;     hello:
;;;       run: [sbcl, --script, /srv/hello.lisp]
;;;       ready: {after: 1s}
;;;       listen: unix:/run/scgid/hello.sock
;;;
;;; For an address of TCP, the class is SB-BSD-SOCKETS:INET-SOCKET.

(require :sb-bsd-sockets)
(require :sb-posix)

;; --script lets a client that leaves early end the program.
(sb-sys:enable-interrupt sb-unix:sigpipe :ignore)

;; What was accepted is finished. SBCL restarts accept(2) after a signal, so it is poll(2) that waits.
(defvar *leaving* nil)
(sb-sys:enable-interrupt
 sb-unix:sigterm
 (lambda (signal info context)
   (declare (ignore signal info context))
   (setf *leaving* t)))

(defun latin-1 (octets)
  (sb-ext:octets-to-string octets :external-format :latin-1))

(defun read-exactly (stream count)
  (let ((octets (make-array count :element-type '(unsigned-byte 8))))
    (if (= (read-sequence octets stream) count)
        octets
        (error "the client left in the middle of its request"))))

(defun read-length (stream)
  "The decimal number before a colon."
  (loop with length = 0
        for char = (code-char (read-byte stream))
        for digit = (digit-char-p char)
        until (char= char #\:)
        do (unless (and digit (< length 1000000)) (error "this is no netstring"))
           (setf length (+ (* 10 length) digit))
        finally (return length)))

(defun read-variables (stream)
  "An association list of names and values."
  (let ((block (latin-1 (read-exactly stream (read-length stream)))))
    (read-byte stream) ; the comma
    (loop for start = 0 then (1+ after)
          while (< start (length block))
          for middle = (position #\Nul block :start start)
          for after = (and middle (position #\Nul block :start (1+ middle)))
          unless after do (error "a variable has no end")
          collect (cons (subseq block start middle) (subseq block (1+ middle) after)))))

(defun answer (stream)
  (let ((variables (read-variables stream)))
    (flet ((variable (name) (or (cdr (assoc name variables :test #'string=)) "")))
      (let ((body (read-exactly stream (parse-integer (variable "CONTENT_LENGTH")))))
        (write-sequence
         (sb-ext:string-to-octets
          (format nil "Status: 200 OK~C~CContent-Type: text/plain~C~C~C~Clisp ~D ~A ~A ~D ~A~%"
                  #\Return #\Newline #\Return #\Newline #\Return #\Newline
                  (sb-posix:getpid) (variable "REQUEST_METHOD") (variable "PATH_INFO")
                  (length body) (latin-1 body))
          :external-format :latin-1)
         stream)
        (finish-output stream)))))

(defun serve (connection)
  (unwind-protect
       (handler-case
           (answer (sb-bsd-sockets:socket-make-stream connection
                                                      :input t :output t :buffering :full
                                                      :element-type '(unsigned-byte 8)))
         (error (problem) (format *error-output* "~A~%" problem)))
    (sb-bsd-sockets:socket-close connection :abort t)))

(let ((listener (make-instance 'sb-bsd-sockets:local-socket :type :stream :descriptor 0)))
  ;; All workers are woken for a connection; who comes too late must not wait for the next one.
  (setf (sb-bsd-sockets:non-blocking-mode listener) t)
  (loop until *leaving*
        ;; Nor does a connection belong to one that was told to leave while it waited.
        do (when (and (sb-sys:wait-until-fd-usable 0 :input 1 nil) (not *leaving*))
             (let ((connection (sb-bsd-sockets:socket-accept listener)))
               (when connection (serve connection))))))
