"""Intake: conversion of HL7 v2 messages and JSON lines to events, and their publication."""
