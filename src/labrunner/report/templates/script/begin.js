"use strict";
// What is of use with a script only is hidden without one. Texts are set as text, never as HTML: names come from outside.
document.documentElement.classList.add("scripted");

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
