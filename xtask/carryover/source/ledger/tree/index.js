'use strict';

const { Book, EntryError } = require('./lib/book');
const { format, html } = require('./lib/format');

function* chunks(list, size) {
  for (let at = 0; at < list.length; at += size) {
    yield list.slice(at, at + size);
  }
}

const compose = (...functions) => (value) => functions.reduce((result, next) => next(result), value);

// Nobody calls these.
function unused(a, b) {
  if (a > b) {
    return a - b;
  }
  let total = 0;
  for (let at = 0; at < b; at += 1) {
    total += at * 2;
  }
  return total;
}

const pipe = (...functions) => (value) => {
  let result = value;
  for (const next of functions) {
    result = next(result);
  }
  return result;
};

module.exports = { Book, EntryError, format, html, chunks, compose, unused, pipe };
