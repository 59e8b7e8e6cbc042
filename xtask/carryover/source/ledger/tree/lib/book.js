'use strict';

const { round } = require('./numbers');

class EntryError extends Error {}

const LIMIT = 100;

class Book {
  #entries = [];

  constructor(owner, start = 0) {
    this.owner = owner;
    this.start = start;
  }

  enter(name, amount) {
    if (!name || amount === 0) {
      throw new EntryError(`no entry: ${name || 'nameless'}`);
    }
    if (this.#entries.length >= LIMIT) {
      throw new EntryError('full');
    }
    this.#entries.push({ name, amount: round(amount) });
    return this;
  }

  get balance() {
    let sum = this.start;
    for (const entry of this.#entries) {
      sum += entry.amount;
    }
    return sum;
  }

  largest(count = 1) {
    const sorted = [...this.#entries].sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
    return sorted.slice(0, count).map((entry) => entry.name);
  }

  *[Symbol.iterator]() {
    yield* this.#entries;
  }

  remove(name) {
    const before = this.#entries.length;
    this.#entries = this.#entries.filter((entry) => entry.name !== name);
    return before - this.#entries.length;
  }

  average() {
    if (this.#entries.length === 0) {
      return 0;
    }
    return this.balance / this.#entries.length;
  }
}

module.exports = { Book, EntryError };
